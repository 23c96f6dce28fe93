module example.invalid/http1-reader

go 1.24
