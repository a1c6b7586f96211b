# proof: flow_find
# breaks: its own value\|if it is there
# a tag may be 0, which means free
s/slot.tag = (uint16_t)((uint32_t)(hash >> 24) | 1u);/slot.tag = (uint16_t)((uint32_t)(hash >> 24));/
