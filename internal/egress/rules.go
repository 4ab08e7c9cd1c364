package egress

import (
	"net/netip"
	"slices"
)

// rules say which addresses may be connected to.
type rules struct {
	allow []netip.Prefix
	ports []uint16 // of addresses that are not in allow
}

// permit reports whether a connection may go to the address.
func (r *rules) permit(to netip.AddrPort) bool {
	addr := to.Addr().WithZone("").Unmap()
	for _, prefix := range r.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return isPublic(addr) && slices.Contains(r.ports, to.Port())
}

// isPublic reports whether an address is of the public internet: in none of the special-purpose ranges of the IANA registries, multicast, or not
// allocated. Of IPv6 what is not global unicast is refused whole: the translated and embedded forms of IPv4 addresses, too.
func isPublic(addr netip.Addr) bool {
	holds := func(p netip.Prefix) bool { return p.Contains(addr) }
	switch {
	case addr.Is4():
		return !slices.ContainsFunc(special4, holds)
	case globalUnicast.Contains(addr):
		return !slices.ContainsFunc(special6, holds)
	}
	return false
}

// special4 is the IANA IPv4 special-purpose address registry, multicast, and what was never allocated.
var special4 = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carriers' NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local; clouds' metadata
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.31.196.0/24", // AS112
	"192.52.193.0/24", // AMT
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"192.175.48.0/24", // AS112
	"198.18.0.0/15",   // benchmarking
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
)

var globalUnicast = netip.MustParsePrefix("2000::/3")

// special6 is what the IANA IPv6 special-purpose address registry takes out of global unicast.
var special6 = prefixes(
	"2001::/23",         // protocol assignments: Teredo, ORCHID, benchmarking, anycast
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4
	"2620:4f:8000::/48", // AS112
	"3fff::/20",         // documentation
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}
