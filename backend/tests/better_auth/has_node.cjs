// Exits with 0 where this Node can run Better Auth. 1.7 starts on Node 18, and then can't create a user.
const [major, minor] = process.versions.node.split(".").map(Number);
process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);
