# proof: vnet_check
# breaks: outer_th_offset
# any 4 bytes may be missing, not only those of a tag
s/outer->l4_off != told && outer->vlan_count != 0 ?/outer->l4_off != told ?/
