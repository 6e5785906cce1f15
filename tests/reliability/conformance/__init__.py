"""What RFC 9110, 9111, 9112 and 6265 demand of a server and proxy, as checks that any proxy can be put to."""
