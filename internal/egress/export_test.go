package egress

import "net/netip"

// OpenPort lets the client go to a port of the public internet, so that tests see that it is the address for which something is refused.
func (c *Client) OpenPort(port uint16) { c.rules.ports = append(c.rules.ports, port) }

// Permits reports what the rules say about an address.
func (c *Client) Permits(to netip.AddrPort) bool { return c.rules.permit(to) }
