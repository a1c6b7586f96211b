# proof: vnet_check
# breaks: outer_th_offset
# any 4 bytes may be missing, not only those of a tag
s/missed != TUOI_VLAN_LEN || outer->vlan_count == 0/missed != TUOI_VLAN_LEN/
