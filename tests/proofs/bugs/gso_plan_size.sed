# proof: gso_plan
# breaks: plan
# the segment size is not cut to the payload
s/gso->tuoi_gso_size = tuoi_min32(gso_size, payload_len);/gso->tuoi_gso_size = gso_size;/
