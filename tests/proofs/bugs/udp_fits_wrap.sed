# proof: udp_fits
# breaks: joins if the rules
# the sum wraps
/^static int tuoi_udp_fits/,/^}/s/(uint64_t)train->len + len/train->len + len/
