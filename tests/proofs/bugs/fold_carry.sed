# proof: sum_fold
# breaks: modulo 65535\|becomes 0
# a bit is lost
/^TUOI_INLINE uint16_t tuoi_fold(uint64_t/,/^}/s/sum = (sum >> 16) + (sum & 0xFFFFu);/sum = (sum >> 16) + (sum \& 0xFFFEu);/
