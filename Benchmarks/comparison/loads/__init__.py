"""What puts load on servers. Each runs on its own processor and returns what it counted, or raises Failed."""
