//! Both ends of the socket between the agent and the process that runs etcd.
