package main

import (
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"sessionizer/internal/config"
)

// newLogger makes the process's only logger. log.format auto is for people
// where w is a terminal and for machines elsewhere.
func newLogger(c config.Log, w io.Writer) *zap.Logger {
	level, err := zapcore.ParseLevel(c.Level)
	if err != nil {
		level = zapcore.InfoLevel // the configuration has checked it
	}
	fields := zap.NewProductionEncoderConfig()
	fields.TimeKey = "time"
	fields.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	fields.EncodeDuration = zapcore.StringDurationEncoder
	var encoder zapcore.Encoder
	if c.Format == "json" || c.Format == "auto" && !isTerminal(w) {
		encoder = zapcore.NewJSONEncoder(fields)
	} else {
		fields.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		fields.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(fields)
	}
	out := zapcore.Lock(zapcore.AddSync(w))
	return zap.New(zapcore.NewCore(encoder, out, level), zap.ErrorOutput(out))
}

// isTerminal says whether people look at a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columns is how wide a terminal is; 0: the stream is none.
func columns(stream any) int {
	if f, ok := stream.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 1 {
			return width
		}
	}
	return 0
}
