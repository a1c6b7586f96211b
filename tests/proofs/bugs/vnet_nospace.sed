# proof: vnet_codec
# breaks: region writeable\|encode: taken
# encode does not look at the room
s/if (capacity < vnet_hdr_len) return TUO_E_NOSPACE;//
