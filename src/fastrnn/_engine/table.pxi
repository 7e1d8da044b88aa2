# The table of cells: a new cell is one file and one line here.

cdef Cell CELLS[6]
CELLS[RNN] = Cell(0, False, rnn_forward, rnn_backward)
CELLS[LSTM] = Cell(4, True, lstm_forward, lstm_backward)
CELLS[GRU] = Cell(4, False, gru_forward, gru_backward)
CELLS[GRU_RESET_BEFORE] = Cell(4, False, gru_candidate_forward, gru_before_backward)
CELLS[MINGRU] = Cell(2, False, mingru_forward, mingru_backward)
CELLS[MINLSTM] = Cell(3, False, minlstm_forward, minlstm_backward)
