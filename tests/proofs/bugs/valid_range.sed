# proof: sum_valid
# breaks: sum: the range is readable
# one byte behind the packet is summed
s/raw = sums->sum(l4, l4_len, raw);/raw = sums->sum(l4, l4_len + 1, raw);/
