// ExternalDNS v0.22 without Kubernetes: its TXT registry, planner and AWS provider, with
// endpoints that are given to it.
package main

import (
	"context"
	"encoding/json"
	"fmt"

	log "github.com/sirupsen/logrus"
	"sigs.k8s.io/external-dns/endpoint"
	"sigs.k8s.io/external-dns/pkg/apis/externaldns"
	"sigs.k8s.io/external-dns/plan"
	"sigs.k8s.io/external-dns/provider"
	"sigs.k8s.io/external-dns/provider/aws"
	"sigs.k8s.io/external-dns/registry"
	"sigs.k8s.io/external-dns/registry/txt"

	"cutover/external-dns/common"
)

type instance struct {
	config   *externaldns.Config
	policy   plan.Policy
	filter   *endpoint.DomainFilter
	registry registry.Registry
}

func main() {
	log.SetLevel(log.FatalLevel)
	common.Main(create)
}

// create follows Execute and buildController of controller/execute.go.
func create(flags []string) (common.Instance, error) {
	config := externaldns.NewConfig()
	if err := config.ParseFlags(flags); err != nil {
		return nil, err
	}
	policy, ok := plan.Policies[config.Policy]
	if !ok {
		return nil, fmt.Errorf("unknown policy: %s", config.Policy)
	}
	filter := endpoint.NewDomainFilterWithExclusions(config.DomainFilter, config.DomainExclude)
	provider, err := aws.New(context.Background(), config, filter)
	if err != nil {
		return nil, err
	}
	registry, err := txt.New(config, provider)
	if err != nil {
		return nil, err
	}
	return &instance{config: config, policy: policy, filter: filter, registry: registry}, nil
}

// RunOnce follows RunOnce of controller/controller.go, and AdjustEndpoints of
// provider/factory/alias_normalizer.go. Both packages depend on all providers.
func (i *instance) RunOnce(ctx context.Context, text json.RawMessage) ([]string, error) {
	current, err := i.registry.Records(ctx)
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, provider.RecordsContextKey, current)
	var endpoints []*endpoint.Endpoint
	if err := json.Unmarshal(text, &endpoints); err != nil {
		return nil, err
	}
	if endpoints, err = i.registry.AdjustEndpoints(endpoints); err != nil {
		return nil, err
	}
	for _, desired := range endpoints {
		alias := desired.GetAliasProperty()
		if (desired.RecordType == endpoint.RecordTypeA && alias == endpoint.AliasA) ||
			(desired.RecordType == endpoint.RecordTypeAAAA && alias == endpoint.AliasAAAA) {
			desired.SetProviderSpecificProperty(endpoint.ProviderSpecificAlias, string(endpoint.AliasTrue))
		}
	}
	calculated := (&plan.Plan{
		Policies:       []plan.Policy{i.policy},
		Current:        current,
		Desired:        endpoints,
		DomainFilter:   endpoint.MatchAllDomainFilters{i.filter, i.registry.GetDomainFilter()},
		ManagedRecords: i.config.ManagedDNSRecordTypes,
		ExcludeRecords: i.config.ExcludeDNSRecordTypes,
		OwnerID:        i.registry.OwnerID(),
		OldOwnerID:     i.config.TXTOwnerOld,
	}).Calculate()
	changes := calculated.Changes
	if !changes.HasChanges() {
		return nil, nil
	}
	var planned []string
	for action, changed := range map[string][]*endpoint.Endpoint{
		"create": changes.Create, "update": changes.UpdateNew, "delete": changes.Delete,
	} {
		for _, changed := range changed {
			planned = append(planned, fmt.Sprintf("%s %s %s %s",
				action, changed.RecordType, changed.DNSName, changed.SetIdentifier))
		}
	}
	return planned, i.registry.ApplyChanges(ctx, changes)
}
