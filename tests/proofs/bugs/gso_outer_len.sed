# proof: gso_stamp_tunnel
# breaks: outer IPv. [a-z]* length of a short segment
# a short segment keeps the outer lengths of a full one
/static TUOI_NOINLINE void tuoi_gso_write_short/,/^}/s/tuoi_gso_write_lengths(gso, hdr, len);/tuoi_gso_write_lengths_of(hdr, gso->tuoi_kind, gso->tuoi_ip_off, gso->tuoi_l4_off, gso->tuoi_hdr_len + len);/
