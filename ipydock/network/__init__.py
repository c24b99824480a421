"""What this host has that a build must know to reach packages: indexes, credentials, proxies."""
