# proof: sum_bytes sum_bytes_long
# breaks: the RFC's sum
# an odd last byte is added as a number
s/low += tuoi_pad16(src\[at\]);/low += src[at] * 256u;/
