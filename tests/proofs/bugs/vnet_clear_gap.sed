# proof: vnet_clear
# breaks: zeros
# 20 bytes: those between the two stores stay
/tuoi_vnet_clear(uint8_t/,/^}/s/if (vnet_hdr_len > 16)/if (vnet_hdr_len > 20)/
