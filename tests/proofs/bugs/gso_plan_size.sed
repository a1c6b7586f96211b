# proof: gso_plan
# breaks: segment size
# a segment size of which one segment would be all of the payload
s/    gso->tuoi_gso_size = gso_size;/    gso->tuoi_gso_size = gso_size + 1;/
