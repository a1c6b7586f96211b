# proof: gso_in_place
# breaks: in front of its payload\|within its place
# the header is stamped where the payload begins
/^TUO_API tuo_result tuo_gso_next_in_place/,/^}/s/data += piece.off;/data += piece.off + gso->tuoi_hdr_len;/
