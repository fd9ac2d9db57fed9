#!/bin/sh
# What people do in the shell of a small image.
cd /tmp || exit 1
id -u; pwd; umask; hostname; ls -a /; ls /etc /dev
for i in 1 2 3; do mkdir -p a/$i && echo $i > a/$i/f; done
# Their times, to the second, are in the archive, whose sum is compared with that of another run.
find a -exec touch -d '2020-01-01 00:00:00' {} +
find a | sort; tar cf a.tar a; rm -r a; tar xf a.tar; cat a/*/f | sort -rn | head -2
ln -s a/1/f link; cat link; chmod 600 link; stat -c '%a %F %s' a/1/f; cp -a a b; diff -r a b && echo same
sed -i s/1/one/ b/1/f; diff a/1/f b/1/f; gzip -c a.tar | gunzip | md5sum; mkfifo p; (echo x > p &) ; cat p
touch -d '2020-01-01 00:00:00' old; stat -c %Y old; test -w /etc/passwd; echo $?; df -P / | tail -1 | wc -w; sleep 0.01
sh -c 'trap "echo term; exit 9" TERM; kill -TERM $$; sleep 1'; echo $?; yes | head -2; ps | head -1; nc -z 127.0.0.1 1; echo $?
cat /nothing; echo $?; /etc/passwd; echo $?; no-such-command; echo $?; grep ^Cap /proc/self/status; cat /proc/1/comm; mount | cut -d' ' -f1-5 | grep -v 'on /proc/' | sort
rm -rf /tmp/*; ls -A /tmp; exit 11
