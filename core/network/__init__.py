"""What the HTTP ports share (bodies, limits, proxies, headers), and which addresses our own processes may call."""
