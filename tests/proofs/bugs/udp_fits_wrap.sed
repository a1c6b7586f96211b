# proof: udp_fits
# breaks: joins if the rules
# the sum wraps
/^static int tuoi_udp_fits/,/^}/s/train->len <= limits->max_bytes - len/train->len + len <= limits->max_bytes/
