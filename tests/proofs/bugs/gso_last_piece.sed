# proof: gso_next gso_next_sizes
# breaks: range is readable\|within the payload
# the last segment is not cut short
s/piece.len = tuoi_min32(gso->tuoi_gso_size, gso->tuoi_payload_len - piece.off);/piece.len = gso->tuoi_gso_size;/
