# proof: account_coalesce
# breaks: than an IP packet\|length
# a superpacket may be one byte too long for its length field
s/if (len - info.ip_off > 0xFFFFu) return TUO_E_IP_LENGTH;/if (len - info.ip_off > 0x10000u) return TUO_E_IP_LENGTH;/
