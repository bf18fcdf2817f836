module original-uri

go 1.22
