"""The wire, as the daemon serves it: methods, dispatch, the server. Bytes in, bytes out; knows no domain."""
