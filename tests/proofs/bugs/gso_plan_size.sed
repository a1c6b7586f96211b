# proof: gso_plan
# breaks: plan
# the segment size is not cut to the payload
s/gso->tuo__gso_size = tuo__min32(gso_size, payload_len);/gso->tuo__gso_size = gso_size;/
