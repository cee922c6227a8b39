// Command provisioner makes PersistentVolumes of type `local` on demand: one
// directory per volume, under BASE/NODE/volumes. The bed's nodes share one file
// system, so a single process outside the nodes serves all of them.
//
// Local volumes rather than hostPath ones, because the kubelet applies a pod's
// fsGroup to the former only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

type directories struct{ base string }

func (d directories) path(node, volume string) string {
	return filepath.Join(d.base, node, "volumes", volume)
}

// Provision makes the directory on the node the scheduler chose for the pod,
// and ties the volume to that node.
func (d directories) Provision(_ context.Context, o controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	if o.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, errors.New("no node chosen yet: the storage class must bind with WaitForFirstConsumer")
	}
	path := d.path(o.SelectedNodeName, o.PVName)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, controller.ProvisioningNoChange, err
	}
	onThatNode := core.NodeSelectorRequirement{
		// On this bed a node's hostname label is its name.
		Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{o.SelectedNodeName},
	}
	mode := core.PersistentVolumeFilesystem
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: o.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			VolumeMode:                    &mode,
			Capacity:                      core.ResourceList{core.ResourceStorage: o.PVC.Spec.Resources.Requests[core.ResourceStorage]},
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{onThatNode}}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes a released volume's directory, if it is one that Provision made.
func (d directories) Delete(_ context.Context, v *core.PersistentVolume) error {
	if v.Spec.Local == nil {
		return fmt.Errorf("volume %s is not a local one", v.Name)
	}
	made, err := filepath.Match(d.path("*", v.Name), v.Spec.Local.Path)
	if err != nil || !made {
		return fmt.Errorf("volume %s lies at %s, which is not under %s", v.Name, v.Spec.Local.Path, d.base)
	}
	return os.RemoveAll(v.Spec.Local.Path)
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	base := flag.String("base", "", "directory that holds one directory per node")
	name := flag.String("name", "muster.testbed/local", "the storage class's provisioner name")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	controller.NewProvisionController(ctx, kubernetes.NewForConfigOrDie(config), *name, directories{*base},
		controller.LeaderElection(false)).Run(ctx)
}
