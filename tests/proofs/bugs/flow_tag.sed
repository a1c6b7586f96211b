# proof: flow_find
# breaks: its own value\|if it is there
# a tag may be 0, which means free
s/place.tag = (uint16_t)((uint32_t)(hash >> 24) | 1u);/place.tag = (uint16_t)((uint32_t)(hash >> 24));/
