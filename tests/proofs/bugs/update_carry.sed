# proof: sum_update16 sum_update32
# breaks: a new sum
# the old word is not complemented
/^TUO_API uint16_t tuo_csum_update16/,/^}/s/(uint16_t)~old_word/old_word/
