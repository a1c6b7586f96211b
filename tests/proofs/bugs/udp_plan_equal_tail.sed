# proof: udp_plan
# breaks: the longest
# a train of two may have an equal tail
/tuo_udp_train tuoi_udp_cut/,/^}/s/no_equal_tail \&\& last->len == seg_len/no_equal_tail \&\& train.count > 2 \&\& last->len == seg_len/
