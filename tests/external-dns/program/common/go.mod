module cutover/external-dns/common

go 1.23.3
