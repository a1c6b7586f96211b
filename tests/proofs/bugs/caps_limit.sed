# proof: tx_intersect
# breaks: limit
# no limit beats a limit
s/return a == 0 || (b != 0 \&\& b < a) ? b : a;/return b < a ? b : a;/
