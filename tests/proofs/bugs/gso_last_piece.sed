# proof: gso_next gso_next_sizes
# breaks: range is readable\|within the payload
# the last segment is not cut short
s/piece.len = tuo__min32(gso->tuo__gso_size, gso->tuo__payload_len - piece.off);/piece.len = gso->tuo__gso_size;/
