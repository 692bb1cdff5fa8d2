// Package notes answers for users' notes and files. The function has no right to
// any note: it asks the broker to act as the user who calls, and IAM lets it
// reach that user's items and objects only. Nothing here compares owners.
//
// A change is in the journal before it is made; without its entry it is not
// made. The journal can so have a change that failed afterwards.
package notes

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/serverless-go/cdk/functions/api"
	"github.com/serverless-go/cdk/functions/notebook"
	"github.com/serverless-go/cdk/patterns/security/identity"
	"github.com/serverless-go/cdk/patterns/security/inner"
)

// Limits of a note and of its file. Lambda takes requests of 6 MB, files in
// base64.
const (
	MaxTitle = 200     // bytes
	MaxText  = 6 << 10 // bytes
	MaxFile  = 4 << 20 // bytes
	PageSize = 100     // notes
)

// Service answers notebook.Routes. All fields are required.
type Service struct {
	Users *identity.Users
	Table string
	// Bucket keeps the files.
	Bucket  string
	Journal Journal
	Now     func() time.Time
}

// Journal records a change of the context's user.
type Journal interface {
	Record(ctx context.Context, action, note, request string) error
}

// FromEnv returns the handler that the environment describes.
func FromEnv(cfg aws.Config) (lambda.Handler, error) {
	users, err := identity.FromEnv(cfg)
	s := &Service{Users: users, Table: os.Getenv(notebook.EnvNotes), Bucket: os.Getenv(notebook.EnvFiles), Now: time.Now}
	journal := os.Getenv(notebook.EnvJournal)
	exchanged := os.Getenv(notebook.EnvExchange)
	if s.Table == "" || s.Bucket == "" || journal == "" || exchanged == "" {
		err = errors.Join(err, fmt.Errorf("notes: %s, %s, %s and %s must be set", notebook.EnvNotes, notebook.EnvFiles, notebook.EnvJournal, notebook.EnvExchange))
	}
	if err != nil {
		return nil, err
	}
	s.Journal = newJournal(cfg, journal, exchanged)
	return s.Handler()
}

// Handler returns the routes behind their door.
func (s *Service) Handler() (lambda.Handler, error) {
	scopes := map[string][]string{}
	for route := range s.Mux() {
		scopes[route] = []string{notebook.Scopes()[route]}
	}
	door, err := inner.FromEnv(scopes)
	if err != nil {
		return nil, err
	}
	return door.Middleware(s.Mux()), nil
}

// Mux returns the handlers. They need an inner.Door before them.
func (s *Service) Mux() api.Mux {
	return api.Mux{
		notebook.RouteList: s.list, notebook.RouteRead: named(s.read), notebook.RouteWrite: named(s.write),
		notebook.RouteDelete: named(s.delete), notebook.RouteFile: named(s.file), notebook.RoutePutFile: named(s.putFile),
	}
}

// as returns what the caller's own rights reach, as far as the permission set
// goes.
func (s *Service) as(ctx context.Context, set string) (*own, error) {
	user, err := s.Users.As(ctx, inner.Token(ctx), set)
	switch {
	case errors.Is(err, identity.ErrToken):
		return nil, &api.Problem{Status: http.StatusUnauthorized, Detail: "The request does not tell who calls."}
	case errors.Is(err, identity.ErrUnavailable):
		return nil, again("It cannot be told now what you may do. Send the request again.")
	case err != nil:
		return nil, err
	}
	return newOwn(user, s.Table, s.Bucket), nil
}

// record has a change written down before it is made.
func (s *Service) record(ctx context.Context, r *api.Request, action, note string) error {
	if err := s.Journal.Record(ctx, action, note, r.RequestContext.RequestID); err != nil {
		slog.ErrorContext(ctx, "change not recorded", "error", err)
		return again("The change cannot be recorded now, and was not made. Send the request again.")
	}
	return nil
}

func again(detail string) *api.Problem {
	return &api.Problem{Status: http.StatusServiceUnavailable, Detail: detail, Header: map[string]string{"retry-after": "1"}}
}

var (
	noteName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	notFound = &api.Problem{Status: http.StatusNotFound, Detail: "You have no such note, or it has no file."}
)

// named hands the note's name, once it is known to be one, to a route's handler.
func named(handle func(ctx context.Context, r *api.Request, name string) (*api.Response, error)) api.Handler {
	return func(ctx context.Context, r *api.Request) (*api.Response, error) {
		name := r.PathParameters[notebook.NoteParameter]
		if !noteName.MatchString(name) {
			return nil, &api.Problem{Status: http.StatusNotFound, Detail: "A note's name has 1 to 63 lower-case letters, digits and hyphens, the first no hyphen."}
		}
		return handle(ctx, r, name)
	}
}

func (s *Service) list(ctx context.Context, r *api.Request) (*api.Response, error) {
	after := r.QueryStringParameters["after"]
	if after != "" && !noteName.MatchString(after) {
		return nil, &api.Problem{Status: http.StatusBadRequest, Detail: "The parameter after must be the name of a note."}
	}
	mine, err := s.as(ctx, notebook.ReadSet)
	if err != nil {
		return nil, err
	}
	notes, next, err := mine.list(ctx, after)
	if err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: struct {
		Notes []*Note `json:"notes"`
		Next  string  `json:"next,omitempty"` // pass it as after
	}{notes, next}}, nil
}

func (s *Service) read(ctx context.Context, r *api.Request, name string) (*api.Response, error) {
	mine, err := s.as(ctx, notebook.ReadSet)
	if err != nil {
		return nil, err
	}
	note, err := mine.read(ctx, name)
	if err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: note}, nil
}

func (s *Service) write(ctx context.Context, r *api.Request, name string) (*api.Response, error) {
	var body struct {
		Title string `json:"title"`
		Text  string `json:"text"`
	}
	if err := api.Decode(r, &body); err != nil {
		return nil, err
	}
	var wrong []api.FieldError
	if body.Title == "" || len(body.Title) > MaxTitle {
		wrong = append(wrong, api.Field("title", fmt.Sprintf("must have 1 to %d bytes", MaxTitle)))
	}
	if len(body.Text) > MaxText {
		wrong = append(wrong, api.Field("text", fmt.Sprintf("must have at most %d bytes", MaxText)))
	}
	if wrong != nil {
		return nil, &api.Problem{Status: http.StatusUnprocessableEntity, Detail: "The note cannot be kept as it is.", Errors: wrong}
	}
	mine, err := s.as(ctx, notebook.WriteSet)
	if err != nil {
		return nil, err
	}
	if err := s.record(ctx, r, notebook.Written, name); err != nil {
		return nil, err
	}
	note, err := mine.write(ctx, &Note{Name: name, Title: body.Title, Text: body.Text, Changed: s.Now().UTC().Truncate(time.Millisecond)})
	if err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: note}, nil
}

func (s *Service) delete(ctx context.Context, r *api.Request, name string) (*api.Response, error) {
	mine, err := s.as(ctx, notebook.WriteSet)
	if err != nil {
		return nil, err
	}
	if err := s.record(ctx, r, notebook.Deleted, name); err != nil {
		return nil, err
	}
	if err := mine.delete(ctx, name); err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: struct{}{}}, nil
}

func (s *Service) file(ctx context.Context, r *api.Request, name string) (*api.Response, error) {
	mine, err := s.as(ctx, notebook.ReadSet)
	if err != nil {
		return nil, err
	}
	content, contentType, err := mine.file(ctx, name)
	if err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Content: content, Header: map[string]string{
		"content-type": contentType,
		// What a user put there must not run in the name of the API.
		"content-disposition": "attachment", "x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox",
	}}, nil
}

func (s *Service) putFile(ctx context.Context, r *api.Request, name string) (*api.Response, error) {
	content := []byte(r.Body)
	if r.IsBase64Encoded {
		var err error
		if content, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			return nil, &api.Problem{Status: http.StatusBadRequest, Detail: "The body is not the base64 that it is said to be."}
		}
	}
	if len(content) == 0 || len(content) > MaxFile {
		return nil, &api.Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("A file has 1 to %d bytes.", MaxFile)}
	}
	// API Gateway hands on what it takes for text as a text, and what is not UTF-8
	// in it is lost.
	if !r.IsBase64Encoded && strings.ContainsRune(r.Body, utf8.RuneError) {
		return nil, &api.Problem{Status: http.StatusUnsupportedMediaType,
			Detail: "The file is said to be text and has characters that are not UTF-8, or U+FFFD: send it as application/octet-stream."}
	}
	contentType := r.Headers["content-type"]
	if _, _, err := mime.ParseMediaType(contentType); err != nil || strings.ContainsAny(contentType, "\r\n") || len(contentType) > 100 {
		return nil, &api.Problem{Status: http.StatusUnsupportedMediaType, Detail: "The header Content-Type must say what the file is."}
	}
	mine, err := s.as(ctx, notebook.WriteSet)
	if err != nil {
		return nil, err
	}
	if _, err := mine.read(ctx, name); err != nil {
		return nil, problem(err)
	}
	if err := s.record(ctx, r, notebook.FileWritten, name); err != nil {
		return nil, err
	}
	if err := mine.putFile(ctx, name, contentType, content); err != nil {
		return nil, problem(err)
	}
	return &api.Response{Status: http.StatusOK, Body: struct {
		Bytes int `json:"bytes"`
	}{len(content)}}, nil
}

// problem returns the answer to an error of AWS that may pass, or that the user
// has no such note; any other error is ours.
func problem(err error) error {
	if errors.Is(err, identity.ErrExpired) {
		return &api.Problem{Status: http.StatusUnauthorized, Detail: "The session is over. Send the request again."}
	}
	if coded, ok := errors.AsType[smithy.APIError](err); ok {
		switch coded.ErrorCode() {
		case "InternalServerError", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ServiceUnavailable", "SlowDown", "ThrottlingException":
			return again("The notes cannot be reached now. Send the request again.")
		}
	}
	return err
}
