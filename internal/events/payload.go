package events

import "strconv"

// The words that payloads are made of. They never change.
var (
	locales = [...]string{"en-US", "en-GB", "it-IT", "de-DE", "fr-FR", "es-ES", "ja-JP", "pt-BR"}
	zones   = [...]string{
		"America/New_York", "Europe/London", "Europe/Rome", "Europe/Berlin", "Europe/Paris",
		"Europe/Madrid", "Asia/Tokyo", "America/Sao_Paulo",
	}
	userAgents = [...]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
			"Chrome/131.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/17.6 Safari/605.1.15",
		"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 " +
			"(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
	}
	phones = [...][2]string{ // device, operating system
		{`"id":"B5372DB0-C21E-11E4-8DFC-AA07A5B093DB","manufacturer":"Apple","model":"iPhone16,1",` +
			`"name":"iPhone","type":"ios"`, `"name":"iOS","version":"18.1"`},
		{`"id":"8f1c0d7a3b5e4e2d","manufacturer":"Google","model":"Pixel 9","name":"tokay",` +
			`"type":"android"`, `"name":"Android","version":"15"`},
		{`"id":"4a8f6e2b9c1d7035","manufacturer":"samsung","model":"SM-S931B","name":"pa1q",` +
			`"type":"android"`, `"name":"Android","version":"14"`},
		{`"id":"F0E1D2C3-B4A5-4697-8887-96A5B4C3D2E1","manufacturer":"Apple","model":"iPad14,5",` +
			`"name":"iPad","type":"ios"`, `"name":"iPadOS","version":"17.7"`},
	}
	pages = [...][2]string{ // path, title
		{"/", "Home"}, {"/new", "New arrivals"}, {"/sale", "Sale"}, {"/cart", "Your cart"},
		{"/checkout", "Checkout"}, {"/account", "My account"}, {"/search", "Search"},
		{"/products/walnut-desk", "Walnut desk"}, {"/products/reading-lamp", "Reading lamp"},
		{"/products/caffè-set", "Caffè set – 6 tazze"}, {"/journal/how-we-work", "How we work"},
		{"/help/returns", "Returns & refunds"},
	}
	campaigns = [...]string{
		`"source":"google","medium":"cpc","name":"autumn-desks","term":"walnut desk",` +
			`"content":"ad-7"`,
		`"source":"newsletter","medium":"email","name":"2026-11-week-3"`,
		`"source":"instagram","medium":"social","name":"lamp-launch","content":"story"`,
	}
	tracks = [...]string{
		"Product Viewed", "Product Added", "Product Removed", "Coupon Entered", "Checkout Started",
		"Order Completed", "Products Searched",
	}
)

// appendEvent writes an event as Segment's libraries and servers do.
func appendEvent(b []byte, c *customer, e *event, receivedMs int64) []byte {
	b = append(b, `{"anonymousId":"`...)
	b = append(b, c.anonymousID[:]...)
	b = append(b, `","channel":`...)
	if c.mobile {
		b = append(b, `"mobile","context":{`...)
		b = appendApp(b, c, e)
	} else {
		b = append(b, `"browser","context":{`...)
		b = appendBrowser(b, c, e)
	}
	if e.sessionID != 0 {
		b = append(b, `,"session":{"id":`...)
		b = strconv.AppendInt(b, e.sessionID, 10)
		if e.start {
			b = append(b, `,"start":true`...)
		}
		b = append(b, '}')
	}
	b = append(b, '}')
	b = appendType(b, c, e)
	b = append(b, `,"integrations":{"All":true},"messageId":"`...)
	b = appendUUID(b, e.messageID[0], e.messageID[1])
	b = append(b, `","originalTimestamp":"`...)
	b = appendTime(b, e.atMs)
	b = append(b, `","receivedAt":"`...)
	b = appendTime(b, receivedMs)
	b = append(b, `","sentAt":"`...)
	b = appendTime(b, e.atMs+sentAfterMs)
	b = append(b, `","timestamp":"`...)
	b = appendTime(b, e.atMs)
	b = append(b, `"`...)
	if e.known {
		b = append(b, `,"userId":"user-`...)
		b = strconv.AppendUint(b, uint64(c.userID), 10)
		b = append(b, '"')
	}
	return append(b, `,"version":2}`...)
}

const sentAfterMs = 12 // how long a library gathers before it sends

func appendBrowser(b []byte, c *customer, e *event) []byte {
	if e.campaign != 0 {
		b = append(b, `"campaign":{`...)
		b = append(b, campaigns[e.campaign-1]...)
		b = append(b, `},`...)
	}
	b = append(b, `"ip":"203.0.113.`...)
	b = strconv.AppendUint(b, uint64(c.anonymousID[0]), 10)
	b = append(b, `","library":{"name":"analytics.js","version":"2.11.1"},"locale":"`...)
	b = append(b, locales[c.locale]...)
	b = append(b, `","page":{`...)
	b = appendPage(b, e)
	b = append(b, `},"screen":{"width":1920,"height":1080,"density":2},"timezone":"`...)
	b = append(b, zones[c.locale]...)
	b = append(b, `","userAgent":"`...)
	b = append(b, userAgents[c.device]...)
	return append(b, `","userAgentData":{"mobile":false,"platform":"Linux"}`...)
}

func appendPage(b []byte, e *event) []byte {
	p := pages[e.page]
	b = append(b, `"path":"`...)
	b = append(b, p[0]...)
	b = append(b, `","referrer":"https://shop.example`...)
	b = append(b, pages[e.from][0]...)
	b = append(b, `","search":"","title":"`...)
	b = append(b, p[1]...)
	b = append(b, `","url":"https://shop.example`...)
	b = append(b, p[0]...)
	return append(b, '"')
}

func appendApp(b []byte, c *customer, e *event) []byte {
	phone := phones[c.device]
	b = append(b, `"app":{"build":"3.0.1.545","name":"Shop","namespace":"example.shop",`...)
	b = append(b, `"version":"3.0.1"},"device":{`...)
	b = append(b, phone[0]...)
	b = append(b, `},"ip":"203.0.113.`...)
	b = strconv.AppendUint(b, uint64(c.anonymousID[0]), 10)
	b = append(b, `","library":{"name":"`...)
	if c.device == 0 || c.device == 3 {
		b = append(b, `analytics-ios","version":"4.1.8"`...)
	} else {
		b = append(b, `analytics-android","version":"4.11.3"`...)
	}
	b = append(b, `},"locale":"`...)
	b = append(b, locales[c.locale]...)
	b = append(b, `","network":{"bluetooth":false,"carrier":"Example","cellular":true,`...)
	b = append(b, `"wifi":false},"os":{`...)
	b = append(b, phone[1]...)
	b = append(b, `},"screen":{"density":3,"height":2556,"width":1179},"timezone":"`...)
	b = append(b, zones[c.locale]...)
	b = append(b, `","traits":{"plan":"free","visits":`...)
	b = strconv.AppendUint(b, uint64(e.product), 10)
	return append(b, '}')
}

// appendType writes what is particular to a page, screen, track or identify.
func appendType(b []byte, c *customer, e *event) []byte {
	switch e.kind {
	case typeTrack:
		b = append(b, `,"event":"`...)
		b = append(b, tracks[int(e.product)%len(tracks)]...)
		b = append(b, `","properties":{"brand":"Example","category":"Desks \u0026 lamps",`...)
		b = append(b, `"currency":"EUR","name":"Walnut desk","price":`...)
		b = strconv.AppendUint(b, uint64(e.product)/7, 10)
		b = append(b, `.95,"product_id":"`...)
		b = strconv.AppendUint(b, uint64(e.product), 10)
		b = append(b, `","quantity":1,"variant":"oiled"},"type":"track"`...)
	case typeIdentify:
		b = append(b, `,"traits":{"email":"user-`...)
		b = strconv.AppendUint(b, uint64(c.userID), 10)
		b = append(b, `@example.com","firstName":"Ana","newsletter":true,"plan":"plus"},`...)
		b = append(b, `"type":"identify"`...)
	case typeScreen:
		b = append(b, `,"name":"`...)
		b = append(b, pages[e.page][1]...)
		b = append(b, `","properties":{"category":"shop"},"type":"screen"`...)
	case typePage:
		b = append(b, `,"name":"`...)
		b = append(b, pages[e.page][1]...)
		b = append(b, `","properties":{`...)
		b = appendPage(b, e)
		b = append(b, `},"type":"page"`...)
	}
	return b
}

// appendUUID writes a version 4 UUID of random bits.
func appendUUID(b []byte, high, low uint64) []byte {
	high = high&^(0xf<<12) | 4<<12
	low = low&^(0b11<<62) | 0b10<<62
	const digits = "0123456789abcdef"
	for i := range 32 {
		switch i {
		case 8, 12, 16, 20:
			b = append(b, '-')
		}
		half := high
		if i >= 16 {
			half = low
		}
		b = append(b, digits[half>>(60-4*(i%16))&0xf])
	}
	return b
}

const dayMs = 24 * 3600 * secondMs

// appendTime writes milliseconds since 1970 as RFC 3339 in UTC. The date is
// Howard Hinnant's civil_from_days; package time would take most of the time
// of an event.
func appendTime(b []byte, ms int64) []byte {
	days, rest := ms/dayMs, ms%dayMs
	z := days + 719_468
	era := z / 146_097
	doe := z - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	month := mp + 3
	year := yoe + era*400
	if month > 12 {
		month -= 12
		year++
	}
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), month, 2)
	b = appendDigits(append(b, '-'), doy-(153*mp+2)/5+1, 2)
	b = appendDigits(append(b, 'T'), rest/3_600_000, 2)
	b = appendDigits(append(b, ':'), rest/60_000%60, 2)
	b = appendDigits(append(b, ':'), rest/1000%60, 2)
	b = appendDigits(append(b, '.'), rest%1000, 3)
	return append(b, 'Z')
}

func appendDigits(b []byte, n int64, width int) []byte {
	for scale := [...]int64{1, 10, 100, 1000}[width-1]; scale > 0; scale /= 10 {
		b = append(b, byte('0'+n/scale%10))
	}
	return b
}
