# proof: sum_update16
# breaks: .
# the old word is not complemented
/^TUO_API uint16_t tuo_csum_update16/,/^}/s/(uint16_t)~old_word/old_word/
