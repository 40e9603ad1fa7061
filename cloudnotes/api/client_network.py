"""The network of a client, for limits and notices."""

import ipaddress


def network(address: str) -> str:
    """Return the network that an address belongs to: /24 of IPv4, /64 of IPv6, else ``''``.

    One customer has at least a /64 of IPv6, so a limit on single addresses would limit nobody. An
    IPv4 address that a dual-stack socket reports as ``::ffff:a.b.c.d`` is an IPv4 address.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    prefix = 24 if ip.version == 4 else 64
    return str(ipaddress.ip_network((ip, prefix), strict=False))
