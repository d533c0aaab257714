// Command deploy holds manifests for Kubernetes against the types that its API server decodes them into: a field that does
// not exist, stands in the wrong place or has the wrong type is an error, and so is a kind that is not known here.
//
// Usage: deploy FILE...
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// kinds are what manifests may be.
var kinds = map[v1.TypeMeta]func() v1.Object{
	{APIVersion: "v1", Kind: "Namespace"}:                  func() v1.Object { return new(corev1.Namespace) },
	{APIVersion: "v1", Kind: "ConfigMap"}:                  func() v1.Object { return new(corev1.ConfigMap) },
	{APIVersion: "v1", Kind: "Secret"}:                     func() v1.Object { return new(corev1.Secret) },
	{APIVersion: "v1", Kind: "Service"}:                    func() v1.Object { return new(corev1.Service) },
	{APIVersion: "apps/v1", Kind: "StatefulSet"}:           func() v1.Object { return new(appsv1.StatefulSet) },
	{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}: func() v1.Object { return new(policyv1.PodDisruptionBudget) },
}

func main() {
	failed := len(os.Args) < 2
	for _, file := range os.Args[1:] {
		n, err := check(file)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			failed = true
			continue
		}
		fmt.Printf("%s: %d objects\n", file, n)
	}
	if failed {
		os.Exit(1)
	}
}

// check reads a file of manifests and returns how many there are.
func check(file string) (int, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	seen := make(map[string]bool)
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			if len(seen) == 0 {
				return 0, errors.New("there is nothing in it")
			}
			return len(seen), nil
		}
		if err != nil {
			return 0, err
		}
		var meta v1.TypeMeta
		if err := yaml.Unmarshal(document, &meta); err != nil {
			return 0, err
		}
		if meta == (v1.TypeMeta{}) && len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		made := kinds[meta]
		if made == nil {
			return 0, fmt.Errorf("%s %s is not known here", meta.APIVersion, meta.Kind)
		}
		object := made()
		if err := decode(document, object); err != nil {
			return 0, fmt.Errorf("%s: %w", meta.Kind, err)
		}
		name := meta.Kind + "/" + object.GetName()
		if object.GetName() == "" || seen[name] {
			return 0, fmt.Errorf("%s: it has no name, or one that is there twice", name)
		}
		seen[name] = true
	}
}

// decode reads a document as the API server does, which tells upper case from lower, and takes nothing that it does not
// know.
func decode(document []byte, object v1.Object) error {
	data, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	unknown, err := json.UnmarshalStrict(data, object)
	return errors.Join(append(unknown, err)...)
}
