from fastrnn._engine._float32_base import *
