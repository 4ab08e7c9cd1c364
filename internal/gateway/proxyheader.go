package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// The header of the PROXY protocol: one line of text in version 1, a binary head and a body in version 2.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n" // begins version 2
	maxProxyLine   = 107                      // of version 1, with its end
	maxProxyHeader = 536                      // of version 2: what every receiver must take, and what we take
	proxyHead      = 16                       // of version 2
)

var errProxyHeader = errors.New("gateway: not a header of the PROXY protocol")

// readProxyHeader reads a header of the PROXY protocol, version 1 or 2, and not a byte more. The address is that of the client; it is not valid where the proxy
// speaks for itself, as it does to see whether we live, or knows no address.
func readProxyHeader(r io.Reader) (netip.AddrPort, error) {
	var buf [maxProxyHeader]byte
	begin := buf[:len(proxySignature)]
	if _, err := io.ReadFull(r, begin); err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case string(begin) == proxySignature:
		return readBinaryHeader(r, &buf)
	case !bytes.HasPrefix(begin, []byte("PROXY ")):
		return netip.AddrPort{}, errProxyHeader
	}
	for n := len(begin); ; n++ {
		if line, whole := bytes.CutSuffix(buf[:n], []byte("\r\n")); whole {
			return parseProxyLine(string(line))
		}
		if n == maxProxyLine {
			return netip.AddrPort{}, errProxyHeader
		}
		if _, err := io.ReadFull(r, buf[n:n+1]); err != nil {
			return netip.AddrPort{}, err
		}
	}
}

// parseProxyLine reads version 1, without the end of the line.
func parseProxyLine(line string) (netip.AddrPort, error) {
	fields := strings.Split(line, " ")
	if fields[1] == "UNKNOWN" {
		return netip.AddrPort{}, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return netip.AddrPort{}, errProxyHeader
	}
	from, err := proxyAddr(fields[2], fields[1] == "TCP4")
	_, errTo := proxyAddr(fields[3], fields[1] == "TCP4")
	port, errPort := strconv.ParseUint(fields[4], 10, 16)
	_, errToPort := strconv.ParseUint(fields[5], 10, 16)
	if errors.Join(err, errTo, errPort, errToPort) != nil {
		return netip.AddrPort{}, errProxyHeader
	}
	return netip.AddrPortFrom(from.Unmap(), uint16(port)), nil
}

func proxyAddr(s string, is4 bool) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.Is4() != is4 || addr.Zone() != "" {
		return netip.Addr{}, errProxyHeader
	}
	return addr, nil
}

// readBinaryHeader reads version 2 from behind its signature, which buf begins with.
func readBinaryHeader(r io.Reader, buf *[maxProxyHeader]byte) (netip.AddrPort, error) {
	if _, err := io.ReadFull(r, buf[len(proxySignature):proxyHead]); err != nil {
		return netip.AddrPort{}, err
	}
	end := proxyHead + int(binary.BigEndian.Uint16(buf[proxyHead-2:]))
	command, family := buf[12], buf[13]
	if end > maxProxyHeader || command != 0x20 && command != 0x21 {
		return netip.AddrPort{}, errProxyHeader
	}
	body := buf[proxyHead:end]
	if _, err := io.ReadFull(r, body); err != nil {
		return netip.AddrPort{}, err
	}
	switch { // what follows the addresses in the body is no affair of ours
	case command == 0x20, family == 0:
		return netip.AddrPort{}, nil
	case family == 0x11 && len(body) >= 12:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:])), nil
	case family == 0x21 && len(body) >= 36:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)).Unmap(), binary.BigEndian.Uint16(body[32:])), nil
	}
	return netip.AddrPort{}, errProxyHeader
}
