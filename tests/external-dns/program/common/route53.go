package common

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
)

const zoneID = "/hostedzone/Z0COMPARE"

// RecordSet has the fields of Route 53's ResourceRecordSet that ExternalDNS reads and writes.
type RecordSet struct {
	Name            string
	Type            string
	SetIdentifier   string       `json:",omitempty" xml:",omitempty"`
	Weight          *int64       `json:",omitempty" xml:",omitempty"`
	TTL             *int64       `json:",omitempty" xml:",omitempty"`
	ResourceRecords []Value      `json:",omitempty" xml:"ResourceRecords>ResourceRecord,omitempty"`
	AliasTarget     *AliasTarget `json:",omitempty" xml:",omitempty"`
	HealthCheckId   string       `json:",omitempty" xml:",omitempty"`
}

// Value is a ResourceRecord.
type Value struct{ Value string }

// AliasTarget is the target of an alias.
type AliasTarget struct {
	HostedZoneId         string
	DNSName              string
	EvaluateTargetHealth bool
}

// Change is one change of a batch.
type Change struct {
	Action            string
	ResourceRecordSet RecordSet
}

// Batch is one call of ChangeResourceRecordSets.
type Batch struct {
	Changes []Change `json:"changes" xml:"ChangeBatch>Changes>Change"`
	// Why it was refused as a whole; empty if it was applied.
	Refusal string `json:"refusal" xml:"-"`
}

// A server that answers the calls of Route 53's API that ExternalDNS makes. It has one zone
// in memory, and refuses a CREATE of a record set that exists and a DELETE of one that does
// not exist or differs.
type server struct {
	url        string
	mutex      sync.Mutex
	zone       string
	recordSets []RecordSet
	sent       []Batch
}

func startServer() (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &server{url: "http://" + listener.Addr().String()}
	go func() { _ = http.Serve(listener, server) }()
	return server, nil
}

func (s *server) load(zone string, recordSets []RecordSet) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.zone, s.recordSets, s.sent = zone, recordSets, []Batch{}
}

func (s *server) batches() []Batch {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.sent
}

func (s *server) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	path := strings.TrimSuffix(request.URL.Path, "/")
	switch {
	case request.Method == http.MethodGet && strings.HasSuffix(path, "/hostedzone"):
		answer(response, http.StatusOK, fmt.Sprintf(
			"<ListHostedZonesResponse><HostedZones><HostedZone><Id>%s</Id><Name>%s</Name>"+
				"<CallerReference>compare</CallerReference></HostedZone></HostedZones>"+
				"<IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesResponse>",
			zoneID, s.zone))
	case request.Method == http.MethodGet && strings.HasSuffix(path, "/rrset"):
		type listing struct {
			XMLName     xml.Name    `xml:"ListResourceRecordSetsResponse"`
			RecordSets  []RecordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
			IsTruncated bool
			MaxItems    int
		}
		text, err := xml.Marshal(listing{RecordSets: s.recordSets, MaxItems: 300})
		if err != nil {
			refuse(response, http.StatusInternalServerError, "InternalError", err.Error())
			return
		}
		answer(response, http.StatusOK, string(text))
	case request.Method == http.MethodPost && strings.HasSuffix(path, "/rrset"):
		var batch Batch
		if err := xml.NewDecoder(request.Body).Decode(&batch); err != nil {
			refuse(response, http.StatusBadRequest, "InvalidInput", err.Error())
			return
		}
		changed, refusal := apply(s.recordSets, batch.Changes)
		batch.Refusal = refusal
		s.sent = append(s.sent, batch)
		if refusal != "" {
			refuse(response, http.StatusBadRequest, "InvalidChangeBatch", refusal)
			return
		}
		s.recordSets = changed
		answer(response, http.StatusOK,
			"<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status>"+
				"<SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>")
	default:
		refuse(response, http.StatusBadRequest, "InvalidInput",
			fmt.Sprintf("unexpected call: %s %s", request.Method, request.URL))
	}
}

func answer(response http.ResponseWriter, status int, body string) {
	response.Header().Set("Content-Type", "text/xml")
	response.WriteHeader(status)
	_, _ = fmt.Fprint(response, xml.Header, body)
}

func refuse(response http.ResponseWriter, status int, code, message string) {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(message))
	answer(response, status, fmt.Sprintf(
		"<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"+
			"<RequestId>compare</RequestId></ErrorResponse>", code, escaped.String()))
}

// apply returns the changed record sets, or why the batch is refused.
func apply(recordSets []RecordSet, changes []Change) ([]RecordSet, string) {
	changed := slices.Clone(recordSets)
	for _, change := range changes {
		record := change.ResourceRecordSet
		position := slices.IndexFunc(changed, func(other RecordSet) bool {
			return canonicalName(other.Name) == canonicalName(record.Name) &&
				other.Type == record.Type && other.SetIdentifier == record.SetIdentifier
		})
		shown := fmt.Sprintf("%s %s %s", record.Type, record.Name, record.SetIdentifier)
		switch {
		case change.Action == "CREATE" && position >= 0:
			return nil, shown + " already exists"
		case change.Action == "DELETE" && position < 0:
			return nil, shown + " was not found"
		case change.Action == "DELETE" && !isSame(changed[position], record):
			return nil, shown + " does not match the current values"
		case change.Action == "DELETE":
			changed = slices.Delete(changed, position, position+1)
		case position >= 0:
			changed[position] = record
		default:
			changed = append(changed, record)
		}
	}
	return changed, ""
}

func isSame(a, b RecordSet) bool {
	return reflect.DeepEqual(normalized(a), normalized(b))
}

// normalized returns the record set in one of the spellings that Route 53 takes as equal.
func normalized(record RecordSet) RecordSet {
	record.Name = canonicalName(record.Name)
	if record.AliasTarget != nil {
		target := *record.AliasTarget
		target.DNSName = canonicalName(target.DNSName)
		record.AliasTarget = &target
	}
	record.ResourceRecords = slices.Clone(record.ResourceRecords)
	for i := range record.ResourceRecords {
		if record.Type == "CNAME" {
			record.ResourceRecords[i].Value = canonicalName(record.ResourceRecords[i].Value)
		}
	}
	slices.SortFunc(record.ResourceRecords, func(a, b Value) int { return strings.Compare(a.Value, b.Value) })
	return record
}

func canonicalName(name string) string {
	name = strings.ReplaceAll(name, `\052`, "*")
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
