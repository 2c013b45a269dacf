#pragma once

#include <string_view>

// The requests that are measured.
namespace fealty::bench {

// What a load generator sends.
inline constexpr std::string_view kMinimalRequest =
    "GET / HTTP/1.1\r\n"
    "Host: example.com\r\n"
    "\r\n";

// What a browser sends for a page of a shop: 15 headers, a KiB.
inline constexpr std::string_view kBrowserRequest =
    "GET /catalogue/shoes/item-4711?colour=dark%20blue&size=42&page=3 "
    "HTTP/1.1\r\n"
    "Host: www.shop.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "sec-ch-ua: \"Chromium\";v=\"118\", \"Not=A?Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Chrome/118.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,"
    "image/webp,image/apng,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Referer: https://www.shop.example.com/catalogue/shoes?page=2\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: it-IT,it;q=0.9,en-US;q=0.8,en;q=0.7\r\n"
    "Cookie: session=8f14e45fceea167a5a36dedd4bea2543; consent=1; "
    "cart=eyJpdGVtcyI6WzQ3MTEsNDcxMl0sInZlcnNpb24iOjN9\r\n"
    "\r\n";

}  // namespace fealty::bench
