# proof: sum_fold
# breaks: .
# a bit is lost
/^TUO__INLINE uint16_t tuo__fold(uint64_t/,/^}/s/sum = (sum >> 16) + (sum & 0xFFFFu);/sum = (sum >> 16) + (sum \& 0xFFFEu);/
