# proof: vnet_check
# breaks: checksum field within
# csum_start is not widened
s/(size_t)hdr->csum_start + hdr->csum_offset + 2 > len/(uint16_t)(hdr->csum_start + hdr->csum_offset + 2) > len/
